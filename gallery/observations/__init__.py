"""What was observed of people, and is kept for a time: unknown walkers, and sightings."""
