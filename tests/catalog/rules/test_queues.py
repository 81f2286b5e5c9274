"""Where runs wait for a worker."""

from catalog.rules.upkeep.queues import on_host, own_queues, queue_name, queues_of_all_hosts, queues_served, served_on
from flows.registry import OPERATIONS


def test_a_host_has_a_queue_for_what_moves_bytes_and_one_for_all_else() -> None:
    assert queue_name("bulk", "a") == "host-a"
    assert queue_name("prompt", "a") == queue_name("recovery", "a") == "host-a:prompt"
    assert [queue_name("bulk"), queue_name("prompt"), queue_name("recovery")] == ["bulk", "prompt", "recovery"]


def test_a_host_serves_its_own_queues_and_no_other_hosts() -> None:
    assert served_on("a") == ("recovery", "prompt", "host-a:prompt", "bulk", "host-a", "default")
    assert queues_served("bulk", "a") == ("bulk", "host-a", "default")
    assert tuple(queues_of_all_hosts()) == ("recovery", "prompt", "bulk")


def test_what_is_handed_to_a_host_keeps_its_place() -> None:
    assert [on_host(waits, "a") for waits in ("recovery", "prompt", "bulk", "default", None)] == [
        "host-a:prompt", "host-a:prompt", "host-a", "host-a", "host-a",
    ]  # fmt: skip
    assert own_queues("a") == ("host-a:prompt", "host-a")


def test_an_operation_waits_where_its_row_says() -> None:
    waits = {name: row.queue for name, row in OPERATIONS.items()}
    assert {name for name, queue in waits.items() if queue == "recovery"} == {"recover_runs", "retry_deferred"}
    assert waits["enable_image"] == waits["delete_image"] == waits["expunge_image"] == waits["set_account"] == "prompt"
    assert (
        waits["add_system_image"] == waits["export_image"] == waits["verify_replicas"] == waits["add_images"] == "bulk"
    )
