-- A join, not a query: the device of each row of `hit`, by its raw user agent. Grain: that of `hit`. Columns: agent_device ('' = not parsed yet).
LEFT ANY JOIN (SELECT user_agent AS raw_agent, toString(device) AS agent_device FROM user_agent_dim FINAL) AS agent
    ON agent.raw_agent = toString(hit.user_agent)
