-- These tables hold the product's rows, whoever created them: going down leaves them alone.
SELECT 1;
