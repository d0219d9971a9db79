"""Small projects of a user's own, to be spoiled by tests."""

from __future__ import annotations

from pathlib import Path

CONFIG = """
[[sources]]
name = "crm"
kind = "customers"
files = "extracts/customers.csv"
[sources.columns]
source_key = "id"
given_name = "first_name"
surname = "last_name"
email = "email"
phone = "phone"
postcode = "zip"

[[sources]]
name = "sales"
kind = "sales"
files = "extracts/sales.csv"
customer_source = "crm"
[sources.columns]
source_key = "order_id"
customer_key = "customer_id"
sold_on = "date"
amount = "amount"
"""
CUSTOMERS = ["id,first_name,last_name,email,phone,zip"] + [
    f"{10 * n + twin},{'Al' if twin and n % 2 else 'Albert' if n % 2 else 'Cora'},{surname},"
    f"{'' if twin else f'{surname.lower()}@post.net'},405-555-01{n:02},7310{n % 4}"
    for n, surname in enumerate(["Archer", "Baker", "Cooper", "Draper", "Evans", "Fisher", "Gardner", "Hunter"], 1)
    for twin in (0, 1)
]
SALES = ["order_id,customer_id,date,amount"] + [
    f"{order},{10 * (1 + order % 8) + order % 2},2024-0{1 + order % 9}-1{order % 7},{100 + order}.50"
    for order in range(1, 31)
]


def own_project(folder: Path, *, customers: str | bytes = "", sales: str | bytes = "", config: str = CONFIG) -> Path:
    """Write a project of 16 customer records, 8 people and 30 sales; what is given takes a file's place."""
    (folder / "extracts").mkdir(parents=True)
    (folder / "c360ml.toml").write_text(config, "utf-8")
    for name, rows, given in (("customers", CUSTOMERS, customers), ("sales", SALES, sales)):
        content = given or "\n".join(rows) + "\n"
        (folder / "extracts" / f"{name}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
