"""The raw material of the token corpora: words and short sentences in many scripts, all written for this purpose."""

# Script -> (joiner between words, words). Chinese, Japanese, Thai, Lao and Khmer put no spaces between words.
SCRIPTS = {
    "english": (" ", "the harbour a lantern keeps quiet boats seven Morning RIVER of Ottilie's engine whistle and moss "
                     "between slowly umbrella copper it's we're they'll I'd you've don't DON'T IT'S We'Ll I'M".split()),
    "german": (" ", "der Fährmann über Straße Größe möchte Brückenbogen Äpfel süß ungefähr und Öl "
                    "Donaudampfschifffahrtsgesellschaft nicht für Weiß".split()),
    "french": (" ", "l'été où naïve garçon d'abord aujourd'hui cœur élève qu'il forêt ça déjà Noël à l'œuvre".split()),
    "spanish": (" ", "mañana ¿dónde? ¡claro! pingüino corazón niños está río después señor último".split()),
    "portuguese": (" ", "coração não amanhã avô português três pão irmãos já você".split()),
    "polish": (" ", "żółw gęś łódź źródło chrząszcz ćma śnieg ząb pięć różny".split()),
    "czech": (" ", "příliš žluťoučký kůň řeka děti šest ňadra ťuhýk účet".split()),
    "hungarian": (" ", "árvíztűrő tükör fúrógép őszi út és kürtőskalács".split()),
    "turkish": (" ", "ıslak İstanbul çiçek güneş şeker öğretmen kağıt".split()),
    "vietnamese": (" ", "một ngày đẹp trời trên sông và người lái đò thì không nói gì cả".split()),
    "icelandic": (" ", "þó að veðrið sé æði kalt ætlar hún út í búð".split()),
    "romanian": (" ", "în grădină șapte țărani și o fântână adâncă".split()),
    "greek": (" ", "η θάλασσα είναι ήρεμη σήμερα και οι βάρκες ταξιδεύουν ΑΘΗΝΑ Ὀδυσσεύς".split()),
    "russian": (" ", "утром лодка вышла из гавани и ёж увидел объявление МОСКВА подъезд".split()),
    "ukrainian": (" ", "їжак під'їзд ґанок є зранку човен вийшов із гавані".split()),
    "serbian": (" ", "љубав њива џеп ђак ћирилица река".split()),
    "georgian": (" ", "დილით ნავი ნავსადგურიდან გავიდა და ქალაქი".split()),
    "armenian": (" ", "առավոտյան նավակը դուրս եկավ նավահանգստից և քաղաքը".split()),
    "hebrew": (" ", "בבוקר יצאה הסירה מן הנמל והעיר שָׁלוֹם ירושלים".split()),
    "arabic": (" ", "في الصباح خرج القارب من الميناء والمدينة مُحَمَّد العربيّة ٣٤٥".split()),
    "persian": (" ", "صبح قایق از بندر بیرون رفت می‌خواهم کتاب‌ها گچ پژ ۱۲۳".split()),
    "urdu": (" ", "صبح کشتی بندرگاہ سے نکلی اور شہر ٹھیک ہے".split()),
    "hindi": (" ", "सुबह नाव बंदरगाह से निकली और शहर क्षत्रिय हिन्दी ज़िन्दगी १२३".split()),
    "marathi": (" ", "सकाळी होडी बंदरातून निघाली आणि ळ".split()),
    "bengali": (" ", "সকালে নৌকা বন্দর থেকে বের হলো এবং শহর ৪৫৬".split()),
    "tamil": (" ", "காலையில் படகு துறைமுகத்திலிருந்து புறப்பட்டது நகரம்".split()),
    "telugu": (" ", "ఉదయం పడవ ఓడరేవు నుండి బయలుదేరింది నగరం".split()),
    "kannada": (" ", "ಬೆಳಿಗ್ಗೆ ದೋಣಿ ಬಂದರಿನಿಂದ ಹೊರಟಿತು ನಗರ".split()),
    "malayalam": (" ", "രാവിലെ വള്ളം തുറമുഖത്തുനിന്ന് പുറപ്പെട്ടു നഗരം".split()),
    "gujarati": (" ", "સવારે હોડી બંદરથી નીકળી અને શહેર".split()),
    "punjabi": (" ", "ਸਵੇਰੇ ਕਿਸ਼ਤੀ ਬੰਦਰਗਾਹ ਤੋਂ ਨਿਕਲੀ ਅਤੇ ਸ਼ਹਿਰ".split()),
    "sinhala": (" ", "උදේ බෝට්ටුව වරායෙන් පිටත් විය".split()),
    "thai": ("", "ตอนเช้า เรือ ออกจาก ท่า แล้ว เมือง ก็ เงียบ น้ำ".split()),
    "lao": ("", "ຕອນເຊົ້າ ເຮືອ ອອກຈາກ ທ່າ ເມືອງ".split()),
    "khmer": ("", "ព្រឹក ទូក ចេញ ពី កំពង់ផែ ទីក្រុង".split()),
    "burmese": (" ", "မနက် လှေ ဆိပ်ကမ်း မှ ထွက်ခွာ မြို့".split()),
    "tibetan": ("་", "ཞོགས་པ གྲུ གཟིངས ཕྱིན གྲོང་ཁྱེར".split()),
    "amharic": (" ", "ጠዋት ጀልባው ከወደቡ ወጣ ከተማ".split()),
    "chinese": ("", "早晨 小船 离开 港口 城市 安静 的 河流 在 桥下 慢慢 流过 了 ， 。 「 」 ！ 三百".split()),
    "traditional": ("", "早晨 小船 離開 港口 城市 靜靜 的 河流 龍 鬱 、 。 體驗".split()),
    "japanese": ("", "朝 の 港 から 小さな 船 が 出て カメラ コーヒー ひらがな です ね 。 、 ガギグ ﾊﾝｶｸ ー".split()),
    "korean": (" ", "아침에 작은 배가 항구를 떠났다 도시는 조용했다 값 뷁 ㅋㅋㅋ".split()),
    "mongolian": (" ", "өглөө завь боомтоос гарлаа хот үзэг".split()),
    "cherokee": (" ", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᏌᏊ ᏔᎵ".split()),
    "gothic": (" ", "𐌰𐌱𐌲 𐌳𐌴𐌵 𐌶𐌷𐌸".split()),
    "runes": (" ", "ᚠᚢᚦ ᚨᚱᚲ ᚷᚹᚺ".split()),
    "mathletters": (" ", "𝒜𝓁𝓅𝒽𝒶 𝔉𝔯𝔞𝔨 𝟙𝟚𝟛 ℝ ℵ₀ ½ ² ⅷ ① ㊷".split()),
    "fullwidth": (" ", "ＡＢＣ ｄｅｆ １２３ ！？ ｶﾞ".split()),
}

# Complete emoji, many of several code points: skin tones, joined families, flags, keycaps, text and emoji style.
EMOJI = [
    "😀", "🚤", "🔥", "👍", "👍🏽", "👩🏾‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🏴‍☠️", "🇫🇷", "🇯🇵🇧🇷", "🇩", "1️⃣", "#️⃣", "❤", "❤️", "❤︎", "☕", "☕️",
    "🧑🏻‍❤️‍💋‍🧑🏿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🫱🏼‍🫲🏿", "🤷‍♂️", "🙈🙉🙊", "⌚⏰⏳", "♟️", "🀄", "🃏", "🏻", "\u200d", "\ufe0f",
]

# Letters with marks that have no letter of their own, stacked marks, marks alone and at the start.
COMBINING = [
    "e\u0301", "n\u0303", "a\u030a\u0301", "Z\u0351\u036b\u0343\u036a\u0302a\u0352\u0365lgo", "\u0301", "\u0301\u0302 x",
    "o\u0328\u0304", "q\u0307\u0323", "\u1100\u1161\u11a8", "\u0915\u094d\u0937", "\u0e01\u0e33", "\u05e9\u05c1\u05b8",
    "a\u20dd", "\u3099", "か\u3099", "i\u0307\u0323", "\u034f", "x\u0338", "\u0644\u0627", "s\u0323\u0307",
]

# Spaces that are not the space, and characters with no width.
SPACES = ["\u00a0", "\u2000", "\u2002", "\u2003", "\u2007", "\u2009", "\u200a", "\u202f", "\u205f", "\u3000", "\u1680",
          "\u0085", "\u2028", "\u2029", "\u000b", "\u000c"]
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u061c", "\u200e", "\u200f", "\u202a", "\u202b",
             "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2069", "\u180e", "\u3164", "\u2800"]
CONTROLS = [chr(code) for code in list(range(0, 32)) + [127, 128, 133, 144, 155, 159]]
STRANGE = ["\ue000", "\uf8ff", "\U000f0000", "\U0010fffd", "\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001ffff",
           "\U0010ffff", "\ufffd", "\ufffc", "\u0378", "\U000e0001", "\U0001f0ff", "\ufff9\ufffa\ufffb"]

# Texts that look like tokens with a meaning of their own, of the two models and of others.
SPECIAL = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>",
    "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>",
    "<jupyter_output>", "<jupyter_script>", "<empty_output>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<s>", "</s>",
    "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<unused0>", "<unused7>", "<unused98>",
    "<2mass>", "[@BOS@]", "[multimodal]", "<table>", "</table>", "<h1>", "</h1>", "<code>", "</code>", "<blockquote>",
    "<0x0A>", "<0x00>", "<0xFF>", "<0x20>", "<0xE2><0x96><0x81>", "▁", "▁▁", "▁the", "Ġ", "Ġthe", "Ċ",
    "[INST]", "[/INST]", "<<SYS>>", "<|user|>", "<|assistant|>", "<|begin_of_text|>", "<|eot_id|>",
    "<|start_header_id|>", "<|fim_prefix|>", "<tool_call>", "</tool_call>", "<think>", "</think>", "[CLS]", "[MASK]",
]

CODE = [
    "for (int i = 0; i < rows; ++i) { total += price[i] * 0.5f; }",
    "auto boat = std::make_unique<Boat>(\"Ottilie\", 7);",
    "template <class T, std::size_t N>\nconstexpr T first(const std::array<T, N>& a) {\n\treturn a[0];\n}",
    "#include <vector>\r\n#define MAX(a,b) ((a)>(b)?(a):(b))\r\n",
    "def tide(hour: int) -> float:\n    \"\"\"Metres above the mark.\"\"\"\n    return 2.1 * sin(hour / 12 * pi)\n",
    "    if x is not None and x != 'none':\n        yield from (y**2 for y in x if y % 3 == 0)\n",
    "@app.route('/boats/<int:id>')\nasync def boat(id):\n\tpass  # nothing yet",
    "{\"name\": \"lantern\", \"lit\": true, \"hours\": [1, 2.50, -3e-7, null], \"tags\": {}}",
    "{\n  \"a\": {\n    \"b\": [\n      {\"c\": \"\\u00e9\\n\"}\n    ]\n  }\n}",
    "SELECT name, COUNT(*) FROM boats WHERE built >= '1987-03-01' GROUP BY name HAVING COUNT(*) > 2;",
    "fn main() { let v: Vec<&'static str> = vec![\"a\", \"b\"]; println!(\"{v:?}\"); }",
    "const wait = async ms => new Promise(done => setTimeout(done, ms ?? 250));",
    "func (b *Boat) Sail(to string) error {\n\tif b == nil {\n\t\treturn ErrNoBoat\n\t}\n\treturn nil\n}",
    "find . -name '*.log' -mtime +7 -print0 | xargs -0 rm -f -- 2>/dev/null && echo \"$HOME: ${COUNT:-0}\"",
    "main :: IO ()\nmain = mapM_ (putStrLn . show) [x | x <- [1..10], odd x]",
    "<ul class=\"boats\">\n  <li id='b1'>Otti &amp; Co &#8212; 5&nbsp;m</li>\n</ul><!-- end -->",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><fleet xmlns:x=\"urn:fleet\"><x:boat n=\"3\"/></fleet>",
    ".boat > .mast::after { content: \"\\2014\"; margin: -1px auto 0; color: #0af; }",
    "\\begin{align} \\int_0^{\\infty} e^{-x^2}\\,dx &= \\frac{\\sqrt{\\pi}}{2} \\\\ \\alpha_{ij} &\\neq \\beta \\end{align}",
    "$\\sum_{k=1}^{n} k = \\tfrac{n(n+1)}{2}$", "a ≤ b ⇒ ∃x∈ℝ: x² ≥ −1 ∧ ¬(p ∨ q)",
    "--- a/boat.c\n+++ b/boat.c\n@@ -1,3 +1,4 @@\n int sails;\n-int oars;\n+int oars = 2;\n+int crew;\n",
    "key: value\nlist:\n  - one\n  - 'two: 2'\n  - |\n    three\n    lines\n",
    "[package]\nname = \"boat\"\nversion = '0.1.0' # first\n",
    "mov rax, [rbx+rcx*8-0x10]\njne .L42\n", "x=$((1<<4)); y=`date +%s`; z=\"$x-$y\"", "r'^[\\w.+-]+@[\\w-]+\\.[a-z]{2,}$'",
    "| left | right |\n|:-----|------:|\n| `a`  |   1.0 |\n\n> quote\n> > deeper\n\n1. **bold** _it_ ~~no~~\n* [x] done\n",
    "0x7fff_ffffULL + 0b1010 - 017 * 1e-10 / 1'000'000", "i++ + ++i --j", "a&&b||!c??d?.e", "=>->::<<=>>=!==**=//=",
]

NUMBERS = [
    "0", "7", "42", "007", "1234", "12345", "1234567890", "3.14159265358979", "1,234,567.89", "1.234.567,89", "-273.15", "+49",
    "6.02e23", "50%", "$19.99", "€ 5,00", "£3", "¥12000", "1/2", "2^10", "10:45", "23:59:59.999", "2026-03-01",
    "01/02/1999", "1999-12-31T23:59:60Z", "12 000", "192.168.0.1", "fe80::1%eth0", "v2.10.3-rc1", "+1 (555) 010-9999",
    "٠١٢٣", "१२३", "四十二", "Ⅳ", "1st 2nd 3rd", "9999999999999999999999999999", "0.1+0.2", "1e9", "x2y3", "3D", "A4", "H2O", "100km/h",
]

URLS = [
    "https://example.org/boats?id=7&sort=-name#top", "ftp://user:pw@host.example:2121/a%20b/", "mailto:otti@example.net",
    "www.example.com/~otti/index.html", "C:\\Users\\Otti\\boat.txt", "/usr/lib/x86_64-linux-gnu/libm.so.6", "../../up/../down",
    "file:///tmp/%E2%9C%93", "git@example.com:fleet/boat.git", "data:text/plain;base64,SGFsbG8=", "#hashtag @otti_42",
    "s3://bucket/key=2024-01-01/part-00001.parquet", "http://[2001:db8::1]:8080/", "urn:isbn:0-000-00000-0",
]

CONTRACTIONS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'Re", "'ve", "'VE", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D", "'x",
                "’s", "’T", "’re", "’LL", "`s", "''s", "'", "'sun", "'Tis", "'em", "'n'", " 's", "'\u017f"]

PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["…", "—", "–", "«", "»", "“", "”", "„", "‘", "’", "¿", "¡", "·",
                                                          "•", "§", "¶", "†", "‰", "′", "、", "。", "「", "」", "・", "〜", "؟", "،",
                                                          "।", "°", "±", "×", "÷", "≠", "≈", "→", "⇐", "█", "─", "│", "♥", "♪",
                                                          "✓", "™", "©", "®", "€", "£", "₿", "№"]
