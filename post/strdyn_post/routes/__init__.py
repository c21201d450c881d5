"""SOAP alone, LENS alone, SOAP&LENS: what is fitted along each, and what one adds to another."""

from .route import ROUTES, TITLES, Merged, Route, RouteFit, shared_rows

__all__ = ["ROUTES", "TITLES", "Merged", "Route", "RouteFit", "shared_rows"]
