-- Which client a campaign belongs to, as known at {as_of}; campaigns without one are left out. Grain: campaign. Columns: owned (campaign), owner.
SELECT toString(campaign) AS owned, toString(client) AS owner FROM campaign_client_as_of(as_of={as_of:Int64})
