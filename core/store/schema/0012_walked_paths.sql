-- path_click: the hits of the persons in path_key, so that the clicks of the look-back are read once. Filled and dropped by each question, as
-- path_key is; columns that the question does not need are empty. Grain: (question, hit).
CREATE TABLE IF NOT EXISTS path_click
(
    question UInt64,
    asked_at DateTime DEFAULT now(),
    click_id FixedString(16),
    ts DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    segment LowCardinality(String),
    o UInt64,
    visitor_id FixedString(16),
    client LowCardinality(String),
    campaign LowCardinality(String),
    ad_group LowCardinality(String),
    creative LowCardinality(String),
    keyword LowCardinality(String),
    page LowCardinality(String),
    variant LowCardinality(String),
    network LowCardinality(String),
    user_agent LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY question
ORDER BY click_id
TTL asked_at + INTERVAL 1 HOUR;

-- campaign_client_as_of: which client a campaign belongs to, as known at {as_of}: the client of campaign_as_of, without the spend that its cost per
-- click is made of. Grain: campaign. No row where nobody named a client.
CREATE VIEW IF NOT EXISTS campaign_client_as_of AS
SELECT newest.1 AS campaign, argMax(newest.2, (NOT newest.3, newest.4)) AS client
FROM
(
    SELECT argMax((campaign, client, endsWith(source, '_ads'), known_at), (known_at, toString(segment), o)) AS newest
    FROM campaign
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY fact_id
)
WHERE newest.2 != ''
GROUP BY campaign;
