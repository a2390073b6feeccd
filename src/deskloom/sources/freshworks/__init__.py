"""What Freshdesk and Freshservice have in common: paths and pages, walks over lists that change, single values."""
