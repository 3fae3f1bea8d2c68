"""The `steward` command."""

import argparse
import getpass
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import uvloop

from domain.clock import system_clock
from domain.errors import Fault, Refusal
from graph.settings import Settings, SettingsError, load_settings
from persistence.embedded import EmbeddedError
from persistence.setup import SetupError

Command = Callable[[Settings, argparse.Namespace], Coroutine[object, object, int]]


async def _serve(settings: Settings, _: argparse.Namespace) -> int:
    from graph.server import serve  # noqa: PLC0415 - each command imports what it runs, so that all start fast

    return await serve(settings)


async def _work(settings: Settings, _: argparse.Namespace) -> int:
    from graph.server import work  # noqa: PLC0415 - as in _serve

    return await work(settings)


async def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    from graph.place import database  # noqa: PLC0415 - as in _serve
    from persistence.setup import migrate  # noqa: PLC0415 - as in _serve

    async with database(settings) as place:
        changed = await migrate(place.url)
    print("The database is at the newest revision." if changed else "Nothing to do.")  # noqa: T201 - a command's answer
    return 0


async def _demo(settings: Settings, options: argparse.Namespace) -> int:
    from graph.demo_firm import load_demo  # noqa: PLC0415 - as in _serve

    at_home = settings.development and settings.database_url is None
    if not (at_home or options.yes):
        raise SettingsError(
            "This would make the demo firm, with its public passwords, in a database that is not the embedded one of "
            "development; say --yes if it is meant."
        )
    await load_demo(settings, options.clients)
    return 0


async def _create_user(settings: Settings, options: argparse.Namespace) -> int:
    from graph.new_user import create_user  # noqa: PLC0415 - as in _serve

    password = sys.stdin.readline().rstrip("\n") if options.password_stdin else getpass.getpass("Password: ")
    user = await create_user(settings, options, password)
    print(f"{user.email} can sign in as {user.role}.")  # noqa: T201 - a command's answer
    return 0


async def _backup(settings: Settings, options: argparse.Namespace) -> int:
    from graph.backup import make_backup  # noqa: PLC0415 - as in _serve

    print(await make_backup(settings, options.path, system_clock()))  # noqa: T201 - a command's answer
    return 0


async def _restore(settings: Settings, options: argparse.Namespace) -> int:
    from graph.backup import restore_backup  # noqa: PLC0415 - as in _serve

    print(await restore_backup(settings, options.path, replace=options.yes))  # noqa: T201 - a command's answer
    return 0


async def _rotate_field_key(settings: Settings, options: argparse.Namespace) -> int:
    from graph.rotation import check_field_key, rotate_field_key  # noqa: PLC0415 - as in _serve

    said, code = await (check_field_key(settings) if options.check else rotate_field_key(settings, system_clock()))
    print(said)  # noqa: T201 - a command's answer
    return code


async def _verify_audit(settings: Settings, options: argparse.Namespace) -> int:
    from graph.verification import verify_audit  # noqa: PLC0415 - as in _serve

    said, code = await verify_audit(settings, options.from_log, system_clock())
    print(said)  # noqa: T201 - a command's answer
    return code


async def _export_schema(_: Settings, options: argparse.Namespace) -> int:
    from graph.schema_file import check, write  # noqa: PLC0415 - as in _serve

    return check(options.path) if options.check else write(options.path)


async def _trust_documents(_: Settings, options: argparse.Namespace) -> int:
    from graph.manifest import write  # noqa: PLC0415 - as in _serve

    print(f"{options.output} holds {write(options.sources, options.output)} documents.")  # noqa: T201 - a command's answer
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="steward", description="The back office of a wealth-advisory firm.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    serve = add("serve", _serve, "Start the database, unless DATABASE_URL names one, and the server.")
    serve.add_argument("--workers", type=int, help="how many processes serve, on one port (default: WORKERS, or 1)")
    add("worker", _work, "Run background work apart from any server; several may, beside each other.")
    add("migrate", _migrate, "Bring the database to the newest revision.")
    demo = add("demo", _demo, "Fill an empty database with the demo firm.")
    demo.add_argument("--clients", type=int, default=600, help="how many clients the firm has (default 600)")
    demo.add_argument(
        "--yes", action="store_true", help="also in production, and where DATABASE_URL names the database"
    )
    user = add("create-user", _create_user, "Add a user, whose password is asked for.")
    user.add_argument("email")
    user.add_argument("name")
    user.add_argument("--role", default="ADMIN", help="ADMIN, BU_MANAGER, SUPERVISOR, ADVISOR, … (default ADMIN)")
    user.add_argument("--unit", help="the name of the user's business unit, which is made if there is none")
    user.add_argument("--team", help="the name of the user's team, which is made in --unit if there is none")
    user.add_argument("--locale", default="en_IN", help="how numbers and dates are written (default en_IN)")
    user.add_argument("--time-zone", default="Asia/Kolkata", help="whose days are the user's (default Asia/Kolkata)")
    user.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    backup = add("backup", _backup, "Write the embedded database into one file, whether it is being served or not.")
    backup.add_argument("path", type=Path, nargs="?", help="a file or a directory (default: .steward/backups/)")
    restore = add("restore", _restore, "Put a backup in the place of the embedded database, which nobody may be using.")
    restore.add_argument("path", type=Path)
    restore.add_argument("--yes", action="store_true", help="replace a database that is not empty")
    rotate = add("rotate-field-key", _rotate_field_key, "Seal what an older FIELD_KEY has sealed with the newest.")
    rotate.add_argument("--check", action="store_true", help="change nothing; tell whether an older key is needed")
    verify = add("verify-audit", _verify_audit, "Verify that the audit trail is as it was sealed; name what is not.")
    verify.add_argument(
        "--from-log", type=Path, action="append", default=[], metavar="FILE", help="a log to hold the seals against"
    )
    trusted = add("trust-documents", _trust_documents, "Write the manifest of trusted documents of *.graphql files.")
    trusted.add_argument("sources", type=Path, nargs="+", help="files, and directories of them")
    trusted.add_argument("--output", type=Path, default=Path("trusted.json"), help="default: trusted.json")
    schema = add("export-schema", _export_schema, "Write the schema in GraphQL's own language.")
    schema.add_argument("path", type=Path, nargs="?", default=Path("schema.graphql"))
    schema.add_argument("--check", action="store_true", help="fail if the file differs, and say which changes break")
    return parser


def ended(running: Coroutine[object, object, int]) -> int:
    """Run to the end; gives the exit code. What is wrong with settings, set-up or input is one sentence."""
    try:
        return uvloop.run(running)
    except (SettingsError, SetupError, EmbeddedError, Refusal, Fault) as error:
        return _told(error)
    except KeyboardInterrupt:
        return 130


def _told(error: Exception) -> int:
    print(f"steward: {error}", file=sys.stderr)  # noqa: T201 - a command's answer
    return 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, which ends the process."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(workers=getattr(options, "workers", None))
    except SettingsError as error:
        sys.exit(_told(error))
    sys.exit(ended(options.run(settings, options)))


if __name__ == "__main__":
    main()
