-- description: Flights, cancellations and mean delay from New York City by airline and destination
-- group: quickstart
-- tables: airline, airport_faa, flight
-- key: carrier, origin, destination
SELECT f.carrier,
       l.name AS airline,
       f.origin,
       f.destination,
       a.name AS destination_airport,
       count(*) AS flights,
       count(*) FILTER (WHERE f.departure_time IS NULL) AS cancelled,
       round(avg(f.arrival_delay_min), 1) AS mean_arrival_delay_min
FROM flight AS f
JOIN airline AS l USING (carrier)
LEFT JOIN airport_faa AS a ON a.faa = f.destination
GROUP BY f.carrier, l.name, f.origin, f.destination, a.name
