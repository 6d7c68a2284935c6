"""When requests are sent, what was measured, and what that says; latency counts from the intended time of sending.

`load` says what is sent and when, as data; `measuring.measure` sends it from worker processes and gives `Samples`; whatever
looks at samples (`percentiles`, `steady`, `comparison`, `limits`, `search`) is a pure function of them.
"""
