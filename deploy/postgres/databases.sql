-- The database and the role of each service, made when the server starts for the first time.
-- The relay comes as the owner too: it reads the outbox, creates its partitions ahead and sees who still writes to it.

CREATE ROLE store_manager LOGIN PASSWORD 'store_manager';
CREATE DATABASE store_manager OWNER store_manager;

CREATE ROLE payments LOGIN PASSWORD 'payments';
CREATE DATABASE payments OWNER payments;
