-- no transaction: the product goes on reading and writing while these run
DROP INDEX CONCURRENTLY IF EXISTS evergrant_integrations_due;
DROP INDEX CONCURRENTLY IF EXISTS evergrant_notifications_event;
