"""What hosts write down for each other, within a change and so atomically: that they live, and what their runs returned."""

from datetime import timedelta

from catalog.errors import HostNotFound
from catalog.log import events
from catalog.records import Host, HostState, RunOutcome, SharedKey, UploadPlace
from catalog.repository.reserving import Reserving
from catalog.store import record_kinds


class Hosting(Reserving):
    """Signs of life are no knowledge and not in the log; that a host is drained, or no more, is a note there."""

    def beat(self, host: Host) -> Host:
        """Take a host's sign of life, at this moment of the database's clock; one that is drained stays so."""
        known = self._transaction.get(record_kinds.HOST, (host.name,))
        now = self._ticking()
        began, state = (known.created_at, known.state) if known else (now, host.state)
        seen = host.model_copy(update={"last_seen": now, "created_at": began, "state": state})
        self._save(record_kinds.HOST, seen, None)
        return seen

    def set_host_state(self, name: str, state: HostState) -> Host:
        """Drain a host, or end that; noted in the log where it changes. Raises HostNotFound."""
        known = self._transaction.get(record_kinds.HOST, (name,))
        if known is None:
            raise HostNotFound(name)
        after = known.model_copy(update={"state": state})
        if after != known:
            self._save(record_kinds.HOST, after, None)
            kind = events.HOST_DRAINED if state == "Draining" else events.HOST_RESUMED
            self._log(kind, f"host:{name}", known, after, note=True)
        return self.host(name)

    def save_run_outcome(self, outcome: RunOutcome) -> None:
        """Keep what a run left that was handed here by another host."""
        self._save(record_kinds.RUN_OUTCOME, outcome, None)

    def forget_run_outcomes(self, older_than: timedelta) -> int:
        """Remove what nobody waits for any more; return how many."""
        now = self._ticking()
        old = [o for o in self._all(record_kinds.RUN_OUTCOME) if now - o.created_at > older_than]
        for outcome in old:
            self._remove(record_kinds.RUN_OUTCOME, (outcome.run_id,), None)
        return len(old)

    def save_upload_place(self, place: UploadPlace) -> None:
        """Keep where a file is sent to."""
        self._save(record_kinds.UPLOAD_PLACE, place, None)

    def remove_upload_place(self, upload_id: str) -> None:
        """Forget where a file was sent to; a no-op where nothing is known."""
        self._remove(record_kinds.UPLOAD_PLACE, (upload_id,), None)

    def shared_key(self, name: str, proposed: str) -> str:
        """Return the key of this name that all hosts sign with, hex; the proposed one becomes it where there is none."""
        known = self._transaction.get(record_kinds.SHARED_KEY, (name,))
        if known is None:
            self._save(record_kinds.SHARED_KEY, SharedKey(name=name, value=proposed), None)
        return known.value if known else proposed
