from datetime import timedelta

import pytest

from persistence.housekeeping import forget
from tests.factories.firm import Make


@pytest.mark.parametrize(("table", "column", "days"), [("events", "occurred_at", 30), ("receipts", "created_at", 7)])
async def test_what_is_kept_for_a_time_is_forgotten_after_it(make: Make, table: str, column: str, days: int) -> None:
    user_id = make.new_id()
    for age in (days - 1, days + 1):
        moment = make.now - timedelta(days=age)
        rows = {
            "events": ("user:x", age, "KYC_CHANGED", user_id, 1, moment, None),
            "receipts": (user_id, "recordTransaction", str(age), "digest", user_id, moment),
        }
        await make.connection.copy_records_to_table(table, records=[rows[table]])
    await forget(make.services.doors.database, make.now)
    kept = await make.connection.fetch(f"select {column} as moment from {table}")  # noqa: S608 - our tables
    assert [(make.now - row["moment"]).days for row in kept] == [days - 1]
