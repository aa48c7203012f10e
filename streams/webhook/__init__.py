"""The webhook: what WhatsApp and other systems push, put on the log before it is answered."""
