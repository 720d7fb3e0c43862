"""An identity-aware gateway between machine identities and Snowflake."""
