"""What an operation costs: declared beside the fields, estimated before it runs, counted again in what came."""

from graph.cost.declared import COST, Cost, cost, days, sized
from graph.cost.priced import MOST_COST, Priced, points, price
from graph.cost.weights import Weights

__all__ = ["COST", "MOST_COST", "Cost", "Priced", "Weights", "cost", "days", "points", "price", "sized"]
