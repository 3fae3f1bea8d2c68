"""`steward create-user`."""

import argparse

from domain import identity
from domain.access import Role
from domain.clock import system_clock
from domain.entities import IdMaker
from domain.identity import NewUser, Passwords, User
from graph.place import database
from graph.settings import Settings, SettingsError
from persistence.bell import Bell
from persistence.database import Database
from persistence.doors import Doors
from persistence.setup import migrate, organised


async def create_user(settings: Settings, options: argparse.Namespace, password: str) -> User:
    """Add a user, and the unit and team that it names if there are none; these stay if the user is then refused.

    Refuses what its rules decline; raises SettingsError for a role that there is not.
    """
    try:
        role = Role(options.role.upper())
    except ValueError as error:
        raise SettingsError(f"There is no role {options.role}; there are {', '.join(Role)}.") from error
    identity.check_place(role, unit=options.unit, team=options.team)
    async with database(settings) as place:
        await migrate(place.url)
        unit_id, team_id = await organised(place.url, options.unit, options.team, system_clock())
        new = NewUser(
            email=options.email,
            name=options.name,
            password=password,
            role=role,
            unit_id=unit_id,
            team_id=team_id,
            locale=options.locale,
            time_zone=options.time_zone,
        )
        opened = await Database.open(place.url, size=1)
        try:
            doors = Doors(opened, Bell(opened), clock=system_clock, ids=IdMaker(), ring=settings.key_ring(place.home))
            return await doors.write(None, "command line", identity.create_user, Passwords(), new)
        finally:
            await opened.close()
