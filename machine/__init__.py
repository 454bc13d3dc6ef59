"""What should be: events, lifecycle, decide, evolve, plan, engine. Pure: no os, no time, no random."""
