-- description: Unemployment in 2009 with the outline of each US county, for the map
-- group: quickstart
-- tables: county_unemployment_2009, us_county_2010
-- key: geoid
SELECT u.state_code || u.county_code AS geoid,
       u.name,
       u.labor_force,
       u.unemployed,
       u.unemployment_rate_percent,
       c.geom
FROM county_unemployment_2009 AS u
LEFT JOIN us_county_2010 AS c USING (state_code, county_code)
