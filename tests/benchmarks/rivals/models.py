"""The tables as the ORM of the rival has them, as far as it is asked for them."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Client(Base):
    __tablename__ = "clients"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    sort_name: Mapped[str]
    segment: Mapped[str]
    status: Mapped[str]


class Portfolio(Base):
    __tablename__ = "portfolios"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    client_id: Mapped[UUID]
    name: Mapped[str]
    opened_on: Mapped[date]


class Position(Base):
    __tablename__ = "positions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    portfolio_id: Mapped[UUID]
    instrument_id: Mapped[UUID]
    symbol: Mapped[str]
    quantity: Mapped[Decimal]


class Instrument(Base):
    __tablename__ = "instruments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    symbol: Mapped[str]
    name: Mapped[str]


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    portfolio_id: Mapped[UUID]
    instrument_id: Mapped[UUID]
    side: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    quantity: Mapped[Decimal | None]
    trades_on: Mapped[date]
    placed_at: Mapped[datetime]
