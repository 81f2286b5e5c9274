"""Whatever happens to a catalog happens alike in memory, SQLite and PostgreSQL, and its log tells all of it."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from catalog.errors import ImagewrightError
from catalog.log.difference import difference
from catalog.records import Account, Image, ImageStatus, ImageStorage, Usage
from catalog.repository.catalog import Catalog
from catalog.repository.change import Change
from catalog.rules.accounts.quotas import part_of
from tests.catalog.samples import START, a_replica, an_export, an_image, opened
from tests.services.postgresql import STORES, binaries, url_of

IDS = st.sampled_from([f"image-{n}" for n in range(5)])
ACCOUNTS = st.sampled_from(["alice", "bob", "carl"])
NAMES = st.sampled_from(["web", "Web_1", "web%", "系统"])
STATUSES = st.sampled_from(list(ImageStatus))
SIZES = st.none() | st.integers(0, 50)
STORAGES = st.sampled_from(["default", "second", "absent"])
HOLDERS = st.sampled_from(["run-1", "run-2"])


class Broken(Exception):
    """Thrown in the middle of a change."""


class Catalogs(RuleBasedStateMachine):
    """Does the same to every store and compares what each says."""

    longest = 0  # steps that any of them made

    def __init__(self) -> None:
        super().__init__()
        self.now, self.turn, self.steps = START, 0, 0
        self.folder = Path(tempfile.mkdtemp())
        kinds = STORES if binaries() is not None else STORES[:2]
        self.catalogs = [opened(url_of(kind, self.folder), clock=self.clock) for kind in kinds]
        for catalog in self.catalogs:
            catalog._page_size = 3

    def clock(self) -> datetime:
        return self.now

    def teardown(self) -> None:
        Catalogs.longest = max(Catalogs.longest, self.steps)
        self.the_log_tells_everything()
        for catalog in self.catalogs:
            catalog.close()
        shutil.rmtree(self.folder)

    def everywhere(self, ask: Callable[[Catalog], object]) -> object:
        """Return what all catalogs answer or raise, which must be the same."""
        self.now += timedelta(seconds=1)
        answers = [_answer(ask, catalog) for catalog in self.catalogs]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def change(self, act: Callable[[Change], object], breaking: bool = False) -> None:
        """Make the same change everywhere, or start it and break it off."""

        def ask(catalog: Catalog) -> object:
            with catalog.changing(actor="machine", run_id=str(self.turn)) as change:
                result = act(change)
                if breaking:
                    raise Broken
                return result

        self.turn += 1
        self.everywhere(ask)

    @initialize(limit=st.integers(1, 4), room=st.integers(20, 200))
    def accounts(self, limit: int, room: int) -> None:
        def act(change: Change) -> None:
            change.save_image_storage(ImageStorage(name="second", kind="ceph", url="rbd://p", created_at=START))
            change.save_account(Account(name="bob", projects=("blue",), created_at=START))
            for number, name in enumerate(["web", "Web_1", "web%", "系统"]):
                change.save_image(an_image(id=f"image-{number}", name=name, owner="carl", size_bytes=1))
            change.save_account(Account(name="alice", quota_images=limit, quota_bytes=room, created_at=START))

        self.change(act)

    @rule(
        image_id=IDS,
        name=NAMES,
        owner=ACCOUNTS,
        size=SIZES,
        status=STATUSES,
        breaking=st.booleans(),
        day=st.integers(0, 3),
    )
    def add(
        self, image_id: str, name: str, owner: str, size: int | None, status: str, breaking: bool, day: int
    ) -> None:
        created = START + timedelta(days=day)
        image = an_image(id=image_id, name=name, owner=owner, size_bytes=size, status=status, created_at=created)
        self.change(lambda change: change.save_image(image), breaking)

    @rule(image_id=IDS, status=STATUSES, size=SIZES, owner=ACCOUNTS, behind=st.sampled_from([0, 0, 0, 1]))
    def edit(self, image_id: str, status: ImageStatus, size: int | None, owner: str, behind: int) -> None:
        def act(change: Change) -> Image:
            image = change.image(image_id)
            changed = {
                "status": status,
                "size_bytes": size,
                "owner": owner,
                "version": image.version - behind,
            }
            return change.save_image(image.model_copy(update=changed))

        self.change(act)

    @rule(
        image_id=IDS,
        mode=st.sampled_from(["none", "specified", "global"]),
        accounts=st.sets(ACCOUNTS),
        blue=st.booleans(),
    )
    def share(self, image_id: str, mode: str, accounts: set[str], blue: bool) -> None:
        sharing = {
            "sharing_mode": mode, "shared_accounts": tuple(sorted(accounts)), "shared_projects": ("blue",) * blue
        }  # fmt: skip
        self.change(lambda change: change.save_image(change.image(image_id).model_copy(update=sharing)))

    @rule(image_id=IDS)
    def remove(self, image_id: str) -> None:
        self.change(lambda change: change.remove_image(image_id))

    @rule(image_id=IDS, storage=STORAGES, stored=st.integers(0, 9), breaking=st.booleans())
    def save_replica(self, image_id: str, storage: str, stored: int, breaking: bool) -> None:
        replica = a_replica(an_image(id=image_id), storage, stored_bytes=stored)
        self.change(lambda change: change.save_replica(replica), breaking)

    @rule(image_id=IDS, storage=STORAGES)
    def remove_replica(self, image_id: str, storage: str) -> None:
        self.change(lambda change: change.remove_replica(image_id, storage))

    @rule(image_id=IDS, keep=st.booleans())
    def export(self, image_id: str, keep: bool) -> None:
        export = an_export(an_image(id=image_id), id=f"export-{image_id}")
        self.change(lambda change: change.save_export(export) if keep else change.remove_export(export.id))

    @rule(
        image_id=IDS,
        account=ACCOUNTS,
        size=st.integers(0, 90),
        storage=STORAGES,
        available=st.integers(0, 99),
    )
    def reserve(self, image_id: str, account: str, size: int, storage: str, available: int) -> None:
        self.change(
            lambda change: change.reserve(
                subject=f"image:{image_id}",
                account=account,
                storages=(storage,),
                size_bytes=size,
                available={storage: available},
            )
        )

    @rule(image_id=IDS, size=st.integers(0, 120), landed=st.integers(0, 120))
    def grow(self, image_id: str, size: int, landed: int) -> None:
        self.change(lambda change: change.grow_reservation(f"image:{image_id}", size_bytes=size, landed_bytes=landed))

    @rule(image_id=IDS)
    def release(self, image_id: str) -> None:
        self.change(lambda change: change.release(f"image:{image_id}"))

    @rule(image_id=IDS, holder=HOLDERS, dead=st.booleans(), other=HOLDERS)
    def lock(self, image_id: str, holder: str, dead: bool, other: str) -> None:
        def ask(catalog: Catalog) -> object:
            with catalog.locked(image_id, holder=holder) as lease:
                with catalog.locked(image_id, holder=other, is_dead=lambda _: dead) as second:
                    taken = second.token
                with catalog.changing(actor="machine", lease=lease) as change:
                    change.record("test.locked", f"image:{image_id}")
                return lease.token, taken

        self.everywhere(ask)

    @rule(image_id=IDS, reason=st.sampled_from(["gone", "full"]), done=st.booleans())
    def defer(self, image_id: str, reason: str, done: bool) -> None:
        def act(change: Change) -> object:
            work = change.defer("delete replica", f"replica:{image_id}@default", reason, storage="default")
            if done:
                change.remove_deferred(work.id)
                return None
            return change.tried(work, reason)

        self.change(act)

    @rule(
        status=st.sampled_from([None, *ImageStatus]), pattern=st.sampled_from(["*", "web*", "W?b_*", "系*", "*%", "web", "系统"]),
        owner=st.none() | ACCOUNTS, account=st.none() | ACCOUNTS, storage=st.none() | STORAGES,
        limit=st.none() | st.integers(0, 5),
    )  # fmt: skip
    def list_images(
        self, status: str | None, pattern: str, owner: str | None, account: str | None, storage: str | None, limit: int | None
    ) -> None:  # fmt: skip
        statuses = (status,) if status else tuple(ImageStatus)
        self.everywhere(
            lambda catalog: list(
                catalog.images(
                    status=statuses,
                    name_pattern=pattern,
                    owner=owner,
                    account=account,
                    image_storage=storage,
                    limit=limit,
                )
            )
        )

    @rule(image_id=IDS, account=ACCOUNTS)
    def look(self, image_id: str, account: str) -> None:
        self.everywhere(lambda catalog: catalog.image(image_id, account))
        self.everywhere(lambda catalog: list(catalog.replicas(image_id)))
        self.everywhere(lambda catalog: list(catalog.exports(image_id)))

    @precondition(lambda self: self.turn % 5 == 0)
    @rule(back=st.integers(0, 60))
    def look_back(self, back: int) -> None:
        moment = self.now - timedelta(seconds=back)
        self.everywhere(lambda catalog: dict(catalog.snapshot(moment).items()))
        told = self.everywhere(lambda catalog: catalog.difference(moment, self.now))
        then, now = (dict(self.catalogs[0].snapshot(at).items()) for at in (moment, self.now))
        assert told == difference(then, now)

    @invariant()
    def listings_are_alike(self) -> None:
        self.steps += 1
        pattern = ("web*", "W?b_*", "*%", "系*", "*_*")[self.turn % 5]
        account = ("alice", "bob", "carl")[self.turn % 3]
        for asks in (None, account):
            self.everywhere(
                lambda catalog, asks=asks: list(  # type: ignore[misc]
                    catalog.images(status=tuple(ImageStatus), name_pattern=pattern, account=asks)
                )
            )
        self.everywhere(lambda catalog: list(catalog.images(status=tuple(ImageStatus), account=account)))

    @invariant()
    def counts_are_the_sums(self) -> None:
        account = ("alice", "bob", "carl")[self.turn % 3]
        usage = self.everywhere(lambda catalog: catalog.usage(account))
        assert isinstance(usage, Usage)
        catalog = self.catalogs[0]
        images = [i for i in catalog.images(status=tuple(ImageStatus)) if i.owner == account]
        parts = [part_of(image, account) for image in images]
        stored = sum(r.stored_bytes for image in images for r in catalog.replicas(image.id))
        expected = (sum(p.images for p in parts), sum(p.size_bytes for p in parts), stored)
        assert (usage.images, usage.size_bytes, usage.stored_bytes) == expected

    def the_log_tells_everything(self) -> None:
        self.everywhere(lambda catalog: list(catalog.events()))
        self.everywhere(lambda catalog: catalog.verify_events())
        self.everywhere(lambda catalog: catalog.verify_tables())


def _answer(ask: Callable[[Catalog], object], catalog: Catalog) -> object:
    try:
        return ask(catalog)
    except (ImagewrightError, Broken) as error:
        return type(error), str(error)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("catalog.store.sql.FEW", 1)  # both ways to find names are gone


def run(examples: int, steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    quiet = [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.large_base_example,  # a thousand steps are large, whatever each of them draws
    ]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=quiet,
        database=None,
    )
    run_state_machine_as_test(Catalogs, settings=chosen)


@pytest.mark.timeout(900)  # hundreds of steps in three stores, on a machine that has other things to do
def test_all_stores_do_the_same() -> None:
    run(examples=5, steps=60)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_all_stores_do_the_same_for_a_thousand_steps() -> None:
    Catalogs.longest = 0
    run(examples=10, steps=1000)
    assert Catalogs.longest >= 1000
