-- A condition, not a query: the row's campaign is {campaign} (empty = all) and belongs to one of {clients} (none = all).
({campaign:String} = '' OR campaign = {campaign:String})
AND (
    empty({clients:Array(String)})
    OR campaign IN (SELECT campaign FROM campaign_client_as_of(as_of={as_of:Int64}) WHERE has({clients:Array(String)}, client))
)
