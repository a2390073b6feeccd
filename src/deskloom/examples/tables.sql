-- Two tables as Prisma makes them: articles in several languages, and templates whose steps are nested JSON.

CREATE TABLE IF NOT EXISTS "KnowledgeReference" (
    "id" text PRIMARY KEY,
    "title" jsonb NOT NULL,
    "content" jsonb NOT NULL,
    "category" text,
    "tags" text[] NOT NULL DEFAULT '{}',
    "createdAt" timestamptz NOT NULL DEFAULT now(),
    "updatedAt" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS "KnowledgeReference_updatedAt_idx" ON "KnowledgeReference" ("updatedAt");

CREATE TABLE IF NOT EXISTS "JourneyTemplate" (
    "id" serial PRIMARY KEY,
    "name" text NOT NULL,
    "description" text,
    "goalKeywords" text[] NOT NULL DEFAULT '{}',
    "tags" text[] NOT NULL DEFAULT '{}',
    "structure" jsonb NOT NULL,
    "isActive" boolean NOT NULL DEFAULT true,
    "matchCount" integer NOT NULL DEFAULT 0,
    "createdAt" timestamptz NOT NULL DEFAULT now(),
    "updatedAt" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS "JourneyTemplate_updatedAt_idx" ON "JourneyTemplate" ("updatedAt");

INSERT INTO "KnowledgeReference" ("id", "title", "content", "category", "tags") VALUES
('ref-sleep', '{"en": "Sleeping better in two weeks", "id": "Tidur lebih nyenyak dalam dua minggu", "ar": "نوم أفضل خلال أسبوعين"}',
 '{"en": "Go to bed at the same hour every evening. Put the phone into another room and let the lamp burn low for the last half hour.", "id": "Tidurlah pada jam yang sama setiap malam. Letakkan ponsel di kamar lain dan redupkan lampu pada setengah jam terakhir.", "ar": "اذهب إلى الفراش في الساعة نفسها كل مساء. ضع الهاتف في غرفة أخرى وخفف الضوء في نصف الساعة الأخيرة."}',
 'health', '{sleep,habits}'),
('ref-budget', '{"en": "A household budget on one page", "id": "Anggaran rumah tangga dalam satu halaman", "ar": "ميزانية المنزل في صفحة واحدة"}',
 '{"en": "Write down what comes in and what must go out. What is left is shared between savings and wishes before the month begins.", "id": "Catat pemasukan dan pengeluaran wajib. Sisanya dibagi antara tabungan dan keinginan sebelum bulan dimulai.", "ar": "سجّل ما يدخل وما يجب أن يخرج. وزّع الباقي بين الادخار والرغبات قبل أن يبدأ الشهر."}',
 'money', '{budget,family}'),
('ref-interview', '{"en": "Preparing for a job interview", "id": "Persiapan wawancara kerja", "ko": "면접 준비하기"}',
 '{"en": "Collect three stories of work that you are proud of. Practise telling each of them in two minutes.", "id": "Kumpulkan tiga cerita tentang pekerjaan yang Anda banggakan. Latih menceritakannya dalam dua menit.", "ko": "자랑스러운 업무 경험 세 가지를 모으세요. 각각을 2분 안에 이야기하는 연습을 하세요."}',
 'career', '{interview}'),
('ref-running', '{"en": "Running five kilometres for the first time", "ja": "初めての5キロを走る"}',
 '{"en": "Run slowly enough to talk. Add a few minutes every week and rest on the day after.", "ja": "会話ができるくらいゆっくり走りましょう。毎週数分ずつ延ばし、翌日は休みましょう。"}',
 'health', '{running,habits}'),
('ref-exam', '{"en": "Learning for an exam without cramming", "ar": "التحضير للامتحان دون حشو"}',
 '{"en": "Ask yourself questions instead of reading again. Come back to each chapter after one, three and seven days.", "ar": "اطرح على نفسك الأسئلة بدل إعادة القراءة. عُد إلى كل فصل بعد يوم وثلاثة أيام وسبعة أيام."}',
 'learning', '{exam,memory}')
ON CONFLICT ("id") DO NOTHING;

INSERT INTO "JourneyTemplate" ("id", "name", "description", "goalKeywords", "tags", "structure", "isActive", "matchCount") VALUES
(1, 'First half marathon', 'Twenty weeks from the first kilometre to the finish line.', '{marathon,running,endurance}', '{sport}',
 '{"phases": [{"name": "Foundation", "weeks": 8, "steps": [{"title": "Run three times a week"}, {"title": "Buy shoes that fit"}]}, {"name": "Distance", "weeks": 10, "steps": [{"title": "A long run every Sunday"}]}, {"name": "Taper", "weeks": 2, "steps": []}]}', true, 42),
(2, 'Changing careers', 'From doubt to the first day at a new job.', '{job,career,application}', '{work}',
 '{"phases": [{"name": "Looking around", "steps": [{"title": "Talk to five people who do the work"}]}, {"name": "Applying", "steps": [{"title": "Rewrite the curriculum vitae"}, {"title": "Practise interviews"}]}]}', true, 17),
(3, 'Out of debt', 'One account after the other, the smallest first.', '{debt,savings,budget}', '{money}',
 '{"phases": [{"name": "Overview", "steps": [{"title": "List every debt with its rate"}]}, {"name": "Snowball", "steps": [{"title": "Pay the smallest first"}]}]}', true, 9),
(4, 'Old reading plan', 'No longer offered.', '{reading}', '{books}', '{"phases": []}', false, 0)
ON CONFLICT ("id") DO NOTHING;

SELECT setval(pg_get_serial_sequence('"JourneyTemplate"', 'id'), (SELECT max("id") FROM "JourneyTemplate"));
