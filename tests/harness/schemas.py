"""JSON schemas of every shape that answers are kept to, made by a seed.

What they allow is finite, or nearly: strings, arrays and numbers have bounds, so that a small model at temperature 1 comes to
an end. Patterns and formats are those whose meaning validators agree about.
"""

import random

PATTERNS = ["^[A-Z]{2}[0-9]{3}$", "^(red|green|blue)-[a-f]{1,4}$", "^[0-9]{4}/[0-9]{2}$", "^a?b{2,5}c$", "^\\w{3,8}$", "^(x|yy|zzz)+!$"]
FORMATS = ["date", "time", "date-time", "ipv4", "uuid", "email", "duration"]
WORDS = ["name", "age", "city", "tags", "note \"q\"", "größe", "id", "x-y", "value", "kind", "é", "a b", "日本"]
VALUES = ["red", "two words", "quo\"te", "back\\slash", "line\nend", "ünïcode", "", 0, -7, 3.5, True, False, None]


class SchemaMaker:
    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.definitions = {}

    def make(self):
        """A schema whose root is an object or an array, with its definitions."""
        schema = self.dice.choice([self.object, self.object, self.object, self.array])(3)
        if self.definitions:
            schema["$defs"] = self.definitions
        return schema

    def any(self, depth):
        makers = [self.string, self.string, self.number, self.integer, self.enum, self.constant, self.boolean, self.nullable]
        if depth > 0:
            makers += [self.object, self.array, self.tuple, self.any_of, self.all_of, self.reference]
        return self.dice.choice(makers)(depth - 1)

    def string(self, depth):
        kind = self.dice.randrange(4)
        if kind == 0:
            return {"type": "string", "pattern": self.dice.choice(PATTERNS)}
        if kind == 1:
            return {"type": "string", "format": self.dice.choice(FORMATS)}
        least = self.dice.randrange(4)
        return {"type": "string", "minLength": least, "maxLength": least + self.dice.randrange(1, 20)}

    def integer(self, depth):
        low = self.dice.randrange(-1000, 1000)
        schema = {"type": "integer", self.dice.choice(["minimum", "exclusiveMinimum"]): low}
        schema[self.dice.choice(["maximum", "exclusiveMaximum"])] = low + self.dice.randrange(2, 5000)
        return schema

    def number(self, depth):
        low = round(self.dice.uniform(-50, 50), 2)
        return {"type": "number", "minimum": low, "maximum": round(low + self.dice.uniform(0.5, 100), 2)}

    def enum(self, depth):
        return {"enum": self.dice.sample(VALUES, self.dice.randrange(1, 6))}

    def constant(self, depth):
        return {"const": self.dice.choice(VALUES + [[1, "a"], {"k": [None]}])}

    def boolean(self, depth):
        return {"type": "boolean"}

    def nullable(self, depth):
        return {"type": self.dice.choice(["null", ["boolean", "null"], ["null", "boolean"]])}

    def object(self, depth):
        names = self.dice.sample(WORDS, self.dice.randrange(0, 5))
        properties = {name: self.any(depth) for name in names}
        required = [name for name in names if self.dice.random() < 0.7]
        schema = {"type": "object", "properties": properties, "required": required}
        # More of them only where they are short: a model may think of many.
        more = self.dice.random() < 0.15 and depth <= 0
        schema["additionalProperties"] = {"type": "boolean"} if more else False
        return schema

    def array(self, depth):
        least = self.dice.randrange(0, 3)
        return {"type": "array", "items": self.any(depth), "minItems": least, "maxItems": least + self.dice.randrange(1, 3)}

    def tuple(self, depth):
        parts = [self.any(depth) for _ in range(self.dice.randrange(1, 4))]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}

    def any_of(self, depth):
        return {"anyOf": [self.any(depth) for _ in range(self.dice.randrange(2, 4))]}

    def all_of(self, depth):
        low = self.dice.randrange(0, 50)
        return {"allOf": [{"type": "integer", "minimum": low}, {"maximum": low + 60}]}

    def reference(self, depth):
        name = "d%d" % len(self.definitions)
        self.definitions[name] = True  # its place, so that what is in it has another
        self.definitions[name] = self.any(depth)
        return {"$ref": "#/$defs/" + name}
