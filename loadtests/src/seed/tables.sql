-- What a batch of products is drawn into.
CREATE TEMPORARY TABLE drawn (
    n bigint, id uuid, sku text, slug text, title text, tags text[], sizes text[], price bigint,
    units bigint, category uuid, collection uuid
) ON COMMIT DROP;
CREATE TEMPORARY TABLE drawn_variants (
    id uuid, product_id uuid, sku text, position integer, size text, price bigint, units bigint
) ON COMMIT DROP;
