CREATE INDEX events_of_reviews ON events (run_id) WHERE kind = 'RunReviewed';
