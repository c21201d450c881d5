"""The report: one HTML page, its headline numbers and its explorer."""
