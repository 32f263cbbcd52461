-- What people say of a published version is an event about a step.

ALTER TABLE events DROP CONSTRAINT kinds_of_steps;
ALTER TABLE events ADD CONSTRAINT kinds_of_steps
    CHECK ((kind IN ('StepPublished', 'AliasMoved', 'StepReviewed')) = (run_id IS NULL)) NOT VALID;
