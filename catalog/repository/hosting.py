"""Records that hosts write for each other within a change: heartbeats, run outcomes, upload places, shared keys."""

from datetime import timedelta

from catalog.errors import HostNotFound
from catalog.log import events
from catalog.records import Host, HostState, RunOutcome, SharedKey, UploadPlace
from catalog.repository.reserving import Reserving
from catalog.store import record_kinds


class Hosting(Reserving):
    """Writes of hosts. Heartbeats are not logged; draining a host, and ending that, is a note in the log."""

    def beat(self, host: Host) -> Host:
        """Record a host's heartbeat at the present moment of the database's clock; a drained host stays drained."""
        known = self._transaction.get(record_kinds.HOST, (host.name,))
        now = self._ticking()
        began, state = (known.created_at, known.state) if known else (now, host.state)
        seen = host.model_copy(update={"last_seen": now, "created_at": began, "state": state})
        self._save(record_kinds.HOST, seen, None)
        return seen

    def set_host_state(self, name: str, state: HostState) -> Host:
        """Drain a host, or resume it; a change is noted in the log. Raises HostNotFound."""
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
        """Store the outcome of a run that another host handed over."""
        self._save(record_kinds.RUN_OUTCOME, outcome, None)

    def forget_run_outcomes(self, older_than: timedelta) -> int:
        """Remove outcomes that nobody waits for any more; return how many."""
        now = self._ticking()
        old = [o for o in self._all(record_kinds.RUN_OUTCOME) if now - o.created_at > older_than]
        for outcome in old:
            self._remove(record_kinds.RUN_OUTCOME, (outcome.run_id,), None)
        return len(old)

    def save_upload_place(self, place: UploadPlace) -> None:
        """Store where an upload is kept."""
        self._save(record_kinds.UPLOAD_PLACE, place, None)

    def remove_upload_place(self, upload_id: str) -> None:
        """Remove the place of an upload; a no-op if none is known."""
        self._remove(record_kinds.UPLOAD_PLACE, (upload_id,), None)

    def shared_key(self, name: str, proposed: str) -> str:
        """Return the shared signing key of this name, hex; if there is none, the proposed one becomes it."""
        known = self._transaction.get(record_kinds.SHARED_KEY, (name,))
        if known is None:
            self._save(record_kinds.SHARED_KEY, SharedKey(name=name, value=proposed), None)
        return known.value if known else proposed
