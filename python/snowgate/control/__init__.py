"""Answers the gate's questions.

    bridge ── take ──► plane ── a task per question ──► identity | sql + policy | approval
       ▲                 │
       └──── answer ─────┘

Rule at the door: rows, chunks, session tokens and upstream tokens never come here. Everything that
comes is bounded JSON, and every question gets an answer: an exception becomes an empty one, which
the gate takes as a denial.
"""
