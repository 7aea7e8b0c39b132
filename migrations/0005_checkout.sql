-- Orders know the session that placed them.
ALTER TABLE orders ADD COLUMN session_id uuid;
CREATE INDEX orders_session ON orders (session_id, id) WHERE session_id IS NOT NULL;
