"""A forked process's work: run a flow as Prefect's engine command does, or the hooks of a run that ended."""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NoReturn

from prefect import Flow, flow_engine
from prefect._internal.control_listener import configure_from_env
from prefect.client.schemas.objects import FlowRun, State
from prefect.engine import handle_engine_signals
from prefect.flow_engine import run_flow
from prefect.logging.loggers import flow_run_logger

from deployments.worker.orders import Order
from flows.interrupts import hear_again
from flows.registry import OPERATIONS

OBSERVER = "observe_flow_run_suspension"


def work(order: Order) -> NoReturn:
    """Carry out an order and exit with the engine's exit code."""
    code = 1
    hear_again()
    try:
        JOBS[order.job](order)
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001  # the interpreter would do the same
        traceback.print_exc()
    _leave(code)


def _run(order: Order) -> None:
    _hear_of_suspension_no_more()
    configure_from_env()
    flow_run = FlowRun.model_validate_json(order.flow_run)
    with handle_engine_signals(flow_run.id):
        log = flow_run_logger(flow_run=flow_run)
        run_flow(_flow(order), flow_run=flow_run, error_logger=log)  # type: ignore[arg-type]  # as Prefect's own does


def _hear_of_suspension_no_more() -> None:
    """Disable the run's own thread and WebSocket that listen for its suspension: the worker listens instead.

    Starting them takes 0.4 s, as long as a short operation itself.
    """
    if hasattr(flow_engine, OBSERVER):
        setattr(flow_engine, OBSERVER, lambda *_args, **_options: nullcontext())


def _run_hooks(order: Order) -> None:
    flow_run, state = FlowRun.model_validate_json(order.flow_run), State[Any].model_validate_json(order.state)
    flow = _flow(order)
    log = flow_run_logger(flow_run, flow)
    for hook in (flow.on_cancellation_hooks if order.job == "cancellation" else flow.on_crashed_hooks) or []:
        try:
            hook(flow, flow_run, state)
        except Exception:
            log.exception("the hook %r of this run failed", getattr(hook, "__name__", hook))


JOBS: dict[str, Callable[[Order], None]] = {"run": _run, "cancellation": _run_hooks, "crashed": _run_hooks}


def _flow(order: Order) -> Flow[..., Any]:
    flow = OPERATIONS[order.operation].load()
    assert isinstance(flow, Flow)
    return flow


def _leave(code: int) -> NoReturn:
    """Exit without finalizing the interpreter, which would copy all pages shared with the parent.

    Exit handlers still run: Prefect sends its last logs and events in them.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  # there is no public way
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
