-- A condition, not a query: the row belongs to one of {clients} (none = all) and to {campaign} (empty = all).
-- A row that names no client belongs to its campaign's client.
({campaign:String} = '' OR campaign = {campaign:String})
AND (
    empty({clients:Array(String)}) OR has({clients:Array(String)}, client)
    OR (client = '' AND campaign IN
        (SELECT campaign FROM campaign_client_as_of(as_of={as_of:Int64}) WHERE has({clients:Array(String)}, client)))
)
