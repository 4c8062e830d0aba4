"""The commands of administrators, as one group."""

import typer

from drink_cli.commands.admin_alarms import alarm, alarms
from drink_cli.commands.admin_drops import drops
from drink_cli.commands.admin_events import events
from drink_cli.commands.admin_export import export
from drink_cli.commands.admin_identities import identities
from drink_cli.commands.admin_import import import_house
from drink_cli.commands.admin_items import item
from drink_cli.commands.admin_kiosks import kiosks
from drink_cli.commands.admin_machines import machines, slots
from drink_cli.commands.admin_users import credits_, users
from drink_cli.commands.stats import admin_stats

admin = typer.Typer(
    help="Users, credits, machines, items, everybody's drops, alarms, kiosks; for administrators.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
admin.add_typer(users, name="user")
admin.add_typer(identities, name="identities")
admin.add_typer(credits_, name="credits")
admin.add_typer(machines, name="machine")
admin.add_typer(slots, name="slot")
admin.add_typer(item, name="item")
admin.add_typer(kiosks, name="kiosks")
admin.add_typer(drops, name="drops")
admin.command()(alarms)
admin.command()(events)
admin.command()(export)
admin.command("stats")(admin_stats)
admin.command("import")(import_house)
admin.add_typer(alarm, name="alarm")
