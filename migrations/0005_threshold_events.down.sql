-- Nothing is lost: events that were not handled yet wait for the way up, and so does the operator's view.
ALTER TABLE IF EXISTS evergrant.threshold_events RENAME TO threshold_events_put_aside;
