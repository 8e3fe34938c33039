"""`serve`."""

from __future__ import annotations

from extproc.cli.option import DEFAULT_CONFIG, Config
from extproc.cli.root import cli


@cli.command("serve")
def serve(config: Config = DEFAULT_CONFIG) -> None:
    """Run the processor until SIGTERM: one process with memory://, else a supervisor and its workers."""
    import uvloop

    from extproc.app import serve_alone
    from extproc.build import build_verifier
    from extproc.files import check_account
    from extproc.live.signals import ignore_requests
    from extproc.settings import Settings
    from extproc.supervisor import supervise

    ignore_requests()
    settings = Settings.load(config)
    build_verifier(settings)  # a bad key is refused before anything starts
    check_account(settings)
    if settings.store.url == "memory://":
        uvloop.run(serve_alone(settings, config))
    else:
        uvloop.run(supervise(settings, config))
