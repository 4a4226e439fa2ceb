"""For who stands in for a model, and for coding agents: the relay, the tools over MCP, the instructions."""
