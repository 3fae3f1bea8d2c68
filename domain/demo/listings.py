"""The instruments of the demo firm: real symbols, ISINs, names and exchanges. Prices are of about the right size."""

from decimal import Decimal
from typing import Final

import msgspec

from domain.demo.ids import named_id
from domain.instruments import Instrument, InstrumentKind, InstrumentStatus, RiskLevel
from domain.money import AMOUNT
from domain.orders.terms import UNIT_STEP
from domain.text import fold
from domain.valuation import AssetClass

_CLASSES: Final = {
    "equity": AssetClass.EQUITY,
    "debt": AssetClass.DEBT,
    "gold": AssetClass.GOLD,
    "property": AssetClass.REAL_ESTATE,
    "commodity": AssetClass.COMMODITY,
    "alternative": AssetClass.ALTERNATIVE,
    "cash": AssetClass.CASH,
}

# What is held on an exchange by funds alone.
_OF_FUNDS: Final = {AssetClass.GOLD, AssetClass.DEBT, AssetClass.COMMODITY, AssetClass.CASH}
_RISKS: Final = {
    AssetClass.CASH: RiskLevel.LOW,
    AssetClass.DEBT: RiskLevel.LOW,
    AssetClass.GOLD: RiskLevel.MODERATE,
    AssetClass.REAL_ESTATE: RiskLevel.MODERATE,
    AssetClass.EQUITY: RiskLevel.HIGH,
    AssetClass.COMMODITY: RiskLevel.VERY_HIGH,
    AssetClass.ALTERNATIVE: RiskLevel.VERY_HIGH,
}

# symbol; ISIN; name; sector; last close; yearly volatility and dividends in percent
_NSE_SHARES: Final = """
HDFCBANK; INE040A01034; HDFC Bank Ltd.; Financial Services; 985.40; 20; 1.1
RELIANCE; INE002A01018; Reliance Industries Ltd.; Energy; 1424.60; 24; 0.4
ICICIBANK; INE090A01021; ICICI Bank Ltd.; Financial Services; 1391.20; 21; 0.8
INFY; INE009A01021; Infosys Ltd.; Information Technology; 1512.75; 25; 2.7
TCS; INE467B01029; Tata Consultancy Services Ltd.; Information Technology; 3061.50; 22; 2.0
BHARTIARTL; INE397D01024; Bharti Airtel Ltd.; Telecommunication; 2078.30; 23; 0.8
LT; INE018A01030; Larsen & Toubro Ltd.; Construction; 3982.10; 24; 0.9
ITC; INE154A01025; ITC Ltd.; Consumer Goods; 408.65; 18; 3.5
SBIN; INE062A01020; State Bank of India; Financial Services; 934.90; 25; 1.7
KOTAKBANK; INE237A01036; Kotak Mahindra Bank Ltd.; Financial Services; 424.35; 21; 0.1
AXISBANK; INE238A01034; Axis Bank Ltd.; Financial Services; 1236.80; 25; 0.1
HINDUNILVR; INE030A01027; Hindustan Unilever Ltd.; Consumer Goods; 2447.00; 18; 1.8
BAJFINANCE; INE296A01032; Bajaj Finance Ltd.; Financial Services; 1018.55; 29; 0.5
BAJAJFINSV; INE918I01026; Bajaj Finserv Ltd.; Financial Services; 2084.40; 27; 0.1
HDFCLIFE; INE795G01014; HDFC Life Insurance Company Ltd.; Financial Services; 764.20; 25; 0.3
SBILIFE; INE123W01016; SBI Life Insurance Company Ltd.; Financial Services; 1979.10; 24; 0.1
HCLTECH; INE860A01027; HCL Technologies Ltd.; Information Technology; 1562.90; 25; 3.5
WIPRO; INE075A01022; Wipro Ltd.; Information Technology; 244.85; 26; 2.4
TECHM; INE669C01036; Tech Mahindra Ltd.; Information Technology; 1441.60; 28; 2.9
NESTLEIND; INE239A01024; Nestlé India Ltd.; Consumer Goods; 1268.70; 19; 1.1
BRITANNIA; INE216A01030; Britannia Industries Ltd.; Consumer Goods; 5854.50; 20; 1.3
TATACONSUM; INE192A01025; Tata Consumer Products Ltd.; Consumer Goods; 1171.30; 23; 0.7
ULTRACEMCO; INE481G01011; UltraTech Cement Ltd.; Construction Materials; 11896.00; 23; 0.6
GRASIM; INE047A01021; Grasim Industries Ltd.; Construction Materials; 2742.20; 23; 0.4
ASIANPAINT; INE021A01026; Asian Paints Ltd.; Consumer Durables; 2619.40; 23; 1.0
TITAN; INE280A01028; Titan Company Ltd.; Consumer Durables; 3823.70; 24; 0.3
MARUTI; INE585B01010; Maruti Suzuki India Ltd.; Automobiles; 15794.00; 22; 0.9
M&M; INE101A01026; Mahindra & Mahindra Ltd.; Automobiles; 3648.90; 27; 0.7
BAJAJ-AUTO; INE917I01010; Bajaj Auto Ltd.; Automobiles; 8951.50; 24; 2.3
SUNPHARMA; INE044A01036; Sun Pharmaceutical Industries Ltd.; Healthcare; 1722.10; 21; 0.9
DRREDDY; INE089A01031; Dr. Reddy's Laboratories Ltd.; Healthcare; 1246.30; 23; 0.6
CIPLA; INE059A01026; Cipla Ltd.; Healthcare; 1528.80; 22; 1.0
DIVISLAB; INE361B01024; Divi's Laboratories Ltd.; Healthcare; 6547.00; 27; 0.5
APOLLOHOSP; INE437A01024; Apollo Hospitals Enterprise Ltd.; Healthcare; 7551.50; 25; 0.3
NTPC; INE733E01010; NTPC Ltd.; Power; 331.75; 24; 2.5
POWERGRID; INE752E01010; Power Grid Corporation of India Ltd.; Power; 274.60; 22; 3.3
ONGC; INE213A01029; Oil & Natural Gas Corporation Ltd.; Energy; 247.90; 27; 4.9
COALINDIA; INE522F01014; Coal India Ltd.; Energy; 384.25; 26; 6.9
TATASTEEL; INE081A01020; Tata Steel Ltd.; Metals & Mining; 174.85; 29; 2.1
HINDALCO; INE038A01020; Hindalco Industries Ltd.; Metals & Mining; 794.60; 31; 0.6
ADANIPORTS; INE742F01042; Adani Ports and Special Economic Zone Ltd.; Services; 1461.20; 32; 0.5
BEL; INE263A01024; Bharat Electronics Ltd.; Capital Goods; 414.30; 31; 0.6
DLF; INE271C01023; DLF Ltd.; Realty; 744.75; 32; 0.8
"""

# as above, with the asset class before the sector
_NSE_FUNDS: Final = """
NIFTYBEES; INF204KB14I2; Nippon India ETF Nifty 50 BeES; equity; Index Funds; 291.60; 14; 0
JUNIORBEES; INF732E01045; Nippon India ETF Nifty Next 50 Junior BeES; equity; Index Funds; 742.30; 18; 0
MID150BEES; INF204KB1V68; Nippon India ETF Nifty Midcap 150; equity; Index Funds; 223.45; 18; 0
GOLDBEES; INF204KB17I5; Nippon India ETF Gold BeES; gold; Precious Metals; 102.35; 13; 0
SILVERBEES; INF204KC1402; Nippon India Silver ETF; gold; Precious Metals; 148.20; 24; 0
LIQUIDBEES; INF732E01037; Nippon India ETF Nifty 1D Rate Liquid BeES; cash; Liquid Funds; 1000.00; 0; 5.4
EBBETF0431; INF754K01LE1; BHARAT Bond ETF April 2031; debt; Public Sector Bonds; 1412.30; 3; 0
GILT5YBEES; INF204KC1030; Nippon India ETF Nifty 5 yr Benchmark G-Sec; debt; Government Bonds; 64.15; 3; 0
LTGILTBEES; INF204KB1882; Nippon India ETF Nifty 8-13 yr G-Sec Long Term Gilt; debt; Government Bonds; 29.65; 5; 0
EMBASSY; INE041025011; Embassy Office Parks REIT; property; Real Estate Trusts; 431.20; 15; 5.5
MINDSPACE; INE0CCU25019; Mindspace Business Parks REIT; property; Real Estate Trusts; 462.80; 15; 5.0
PGINVIT; INE0GGX23010; Powergrid Infrastructure Investment Trust; alternative; Infrastructure Trusts; 92.40; 13; 12.0
"""

# symbol; ISIN; name; asset class; sector; exchange; currency; last close; volatility; dividends; lot
_GLOBAL: Final = """
AAPL; US0378331005; Apple Inc.; equity; Information Technology; XNAS; USD; 268.40; 27; 0.4; 1
MSFT; US5949181045; Microsoft Corporation; equity; Information Technology; XNAS; USD; 507.20; 24; 0.7; 1
NVDA; US67066G1040; NVIDIA Corporation; equity; Information Technology; XNAS; USD; 186.90; 45; 0.1; 1
GOOGL; US02079K3059; Alphabet Inc. Class A; equity; Communication Services; XNAS; USD; 285.60; 29; 0.3; 1
JPM; US46625H1005; JPMorgan Chase & Co.; equity; Financial Services; XNYS; USD; 305.10; 24; 1.9; 1
JNJ; US4781601046; Johnson & Johnson; equity; Healthcare; XNYS; USD; 201.30; 16; 2.6; 1
KO; US1912161007; The Coca-Cola Company; equity; Consumer Goods; XNYS; USD; 71.40; 15; 2.9; 1
AGG; US4642872265; iShares Core U.S. Aggregate Bond ETF; debt; Bond Funds; ARCX; USD; 100.15; 5; 3.8; 1
GLD; US78463V1070; SPDR Gold Shares; gold; Precious Metals; ARCX; USD; 378.90; 15; 0; 1
VNQ; US9229085538; Vanguard Real Estate ETF; property; Real Estate Trusts; ARCX; USD; 91.20; 18; 3.8; 1
DBC; US46138B1035; Invesco DB Commodity Index Tracking Fund; commodity; Commodity Funds; ARCX; USD; 22.85; 17; 0; 1
HSBA; GB0005405286; HSBC Holdings plc; equity; Financial Services; XLON; GBP; 10.78; 22; 4.9; 1
AZN; GB0009895292; AstraZeneca PLC; equity; Healthcare; XLON; GBP; 131.40; 22; 1.9; 1
SHEL; GB00BP6MXD84; Shell plc; equity; Energy; XLON; GBP; 28.35; 22; 3.9; 1
IGLT; IE00B1FZSB30; iShares Core UK Gilts UCITS ETF; debt; Government Bonds; XLON; GBP; 10.24; 7; 3.9; 1
SGLN; IE00B4ND3602; iShares Physical Gold ETC; gold; Precious Metals; XLON; GBP; 59.80; 15; 0; 1
SAP; DE0007164600; SAP SE; equity; Information Technology; XETR; EUR; 212.50; 25; 1.1; 1
SIE; DE0007236101; Siemens AG; equity; Industrials; XETR; EUR; 229.80; 25; 2.3; 1
ALV; DE0008404005; Allianz SE; equity; Financial Services; XETR; EUR; 361.40; 19; 4.2; 1
EUNH; IE00B4WXJJ64; iShares Core € Govt Bond UCITS ETF; debt; Government Bonds; XETR; EUR; 110.35; 6; 2.4; 1
4GLD; DE000A0S9GB0; Xetra-Gold; gold; Precious Metals; XETR; EUR; 112.60; 15; 0; 1
D05; SG1L01001701; DBS Group Holdings Ltd; equity; Financial Services; XSES; SGD; 54.20; 18; 5.4; 100
O39; SG1S04926220; Oversea-Chinese Banking Corporation Ltd; equity; Financial Services; XSES; SGD; 18.15; 16; 4.9; 100
C38U; SG1M51904654; CapitaLand Integrated Commercial Trust; property; Real Estate Trusts; XSES; SGD; 2.36; 15; 4.7; 100
A35; SG1S08926457; ABF Singapore Bond Index Fund; debt; Government Bonds; XSES; SGD; 1.27; 5; 2.3; 100
"""

# symbol; ISIN; name; asset class; sector; risk; last net asset value; yearly volatility and gain in percent
_NAMED_FUNDS: Final = """
PPFCF; INF879O01027; Parag Parikh Flexi Cap Fund - Direct Growth; equity; Flexi Cap Funds; HIGH; 94.4162; 12; 14
HDFCLIQUID; INF179KB1HP9; HDFC Liquid Fund - Direct Growth; cash; Liquid Funds; LOW; 5318.4127; 0.1; 6.5
SBI10YGILT; INF200K01SK7; SBI Constant Maturity 10-Year Gilt Fund - Direct Growth; debt; Gilt Funds; LOW; 66.4213; 4; 7
ICICIBAF; INF109K01BH2; ICICI Prudential Balanced Advantage Fund - Growth; equity; Hybrid; MODERATE; 77.6318; 7; 11
"""


class Listing(msgspec.Struct, frozen=True):
    """An instrument and how its price behaves: `close` and `tick` in hundredths, the rest as a fraction of a year.

    `taxed` tells whether its purchases and sales bear the Indian securities transaction tax.
    """

    instrument: Instrument
    close: int
    tick: int
    volatility: float
    dividends: float
    taxed: bool

    @property
    def symbol(self) -> str:
        """The symbol, by which the demo names it."""
        return self.instrument.symbol


class Fund(msgspec.Struct, frozen=True):
    """A fund, its last net asset `value` in ten thousandths, and how that moves in a year, as fractions."""

    instrument: Instrument
    value: int
    volatility: float
    gain: float

    @property
    def symbol(self) -> str:
        """The symbol, by which the demo names it."""
        return self.instrument.symbol


def _kind(isin: str, name: str, sector: str, asset_class: AssetClass) -> InstrumentKind:
    is_fund = isin.startswith("INF") or "ETF" in name or "ETC" in name or sector.endswith("Funds")
    return InstrumentKind.ETF if is_fund or asset_class in _OF_FUNDS else InstrumentKind.SHARE


def _listing(order: int, fields: tuple[str, ...]) -> Listing:
    symbol, isin, name, kind, sector, exchange, currency, close, volatility, dividends, lot = fields
    instrument = Instrument(
        id=named_id("instrument", isin, millis=order),
        symbol=symbol,
        isin=isin,
        name=name,
        sort_name=fold(name),
        asset_class=_CLASSES[kind],
        sector=sector,
        exchange=exchange,
        currency=currency,
        lot_size=Decimal(lot),
        status=InstrumentStatus.ACTIVE,
        kind=_kind(isin, name, sector, _CLASSES[kind]),
        tick_size=Decimal("0.05") if exchange == "XNSE" else Decimal("0.01"),
        risk=_RISKS[_CLASSES[kind]],
    )
    indian = exchange == "XNSE"
    return Listing(
        instrument=instrument,
        close=int(close.replace(".", "")),
        tick=5 if indian else 1,
        volatility=float(volatility) / 100,
        dividends=float(dividends) / 100,
        taxed=indian and kind == "equity" and isin.startswith("INE"),
    )


def _rows(table: str) -> list[tuple[str, ...]]:
    return [tuple(field.strip() for field in line.split(";")) for line in table.strip().splitlines()]


def _all() -> tuple[Listing, ...]:
    rows = [(*row[:3], "equity", row[3], "XNSE", "INR", *row[4:], "1") for row in _rows(_NSE_SHARES)]
    rows += [(*row[:5], "XNSE", "INR", *row[5:], "1") for row in _rows(_NSE_FUNDS)]
    rows += _rows(_GLOBAL)
    return tuple(_listing(order, row) for order, row in enumerate(rows))


LISTINGS: Final = _all()


def _fund(order: int, fields: tuple[str, ...]) -> Fund:
    symbol, isin, name, kind, sector, risk, value, volatility, gain = fields
    instrument = Instrument(
        id=named_id("instrument", isin, millis=order),
        symbol=symbol,
        isin=isin,
        name=name,
        sort_name=fold(name),
        asset_class=_CLASSES[kind],
        sector=sector,
        exchange="XNSE",
        currency="INR",
        lot_size=UNIT_STEP,
        status=InstrumentStatus.ACTIVE,
        kind=InstrumentKind.FUND,
        tick_size=AMOUNT,
        risk=RiskLevel(risk),
    )
    return Fund(instrument, int(value.replace(".", "")), float(volatility) / 100, float(gain) / 100)


FUNDS: Final = tuple(_fund(order, row) for order, row in enumerate(_rows(_NAMED_FUNDS), len(LISTINGS)))
