"""What people use: the REST API and the helpdesk's live feed."""
