//! State of sessions, statements, tickets and cached verdicts.
