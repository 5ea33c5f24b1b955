-- What the user agents {agents} are. Grain: user agent. Columns: user_agent, device, browser.
SELECT toString(user_agent) AS user_agent, toString(device) AS device, toString(browser) AS browser
FROM user_agent_dim FINAL
WHERE has({agents:Array(String)}, toString(user_agent))
