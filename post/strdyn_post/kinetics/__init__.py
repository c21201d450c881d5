"""How atoms move between environments, and how far the numbers can be trusted."""
