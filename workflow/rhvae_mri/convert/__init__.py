"""From a raw download to BIDS: tables and images staged for Clinica, its run, and the report of it."""
