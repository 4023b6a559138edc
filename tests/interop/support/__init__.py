"""What the interop tests share: starting Atoll and the real vantage6 components, and waiting."""
