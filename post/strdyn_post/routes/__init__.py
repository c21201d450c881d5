"""The routes SOAP alone, LENS alone and SOAP&LENS: their fits, and what SOAP&LENS adds to SOAP."""

from .route import ROUTES, TITLES, Merged, Route, RouteFit, shared_rows

__all__ = ["ROUTES", "TITLES", "Merged", "Route", "RouteFit", "shared_rows"]
