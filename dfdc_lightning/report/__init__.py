"""From run folders to evidence: statistics, tables, figures, one page."""
