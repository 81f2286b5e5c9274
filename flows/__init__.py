"""Every operation on an image is a flow: `from flows import add_system_image`.

The names are loaded on first use: importing Prefect takes seconds, and reading the catalog needs none of it. What type
checkers see is in `__init__.pyi`, which `python -m deployments.generate` writes.
"""


def __getattr__(name):  # the types are in the stub
    if name.startswith("_"):  # Python itself asks for these before anything is loaded
        raise AttributeError(f"module 'flows' has no attribute {name!r}")
    from flows.registry import OPERATIONS

    if name not in OPERATIONS:
        raise AttributeError(f"module 'flows' has no attribute {name!r}")
    from catalog.settings import load_settings
    from flows.server.environment import prepare

    prepare(load_settings())
    return OPERATIONS[name].load()


def __dir__():
    from flows.registry import OPERATIONS

    return sorted({*globals(), *OPERATIONS})
