"""Ports bound to a technology: the OpenAI client, WhatsApp's HTTP API, the toolbox."""
