"""First names for drivers and customers who do not exist."""

FIRST_NAMES = (
    "Ana", "Ben", "Carla", "Dev", "Elena", "Femi", "Grace", "Hugo", "Iris", "Jamal", "Kim", "Luis", "Mina", "Noah",
    "Olga", "Priya", "Quinn", "Rosa", "Sam", "Tara", "Uma", "Victor", "Wei", "Ximena", "Yusuf", "Zoe",
)  # fmt: skip
