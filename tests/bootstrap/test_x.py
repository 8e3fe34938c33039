import pytest, json, time, asyncio
from tests.bootstrap.system import system, NOWHERE
from tests.bootstrap.stand_in import answers, resets
P=pytest.mark.parametrize("fallback",["composite","priorities"])
@P
async def test_slow(tmp_path, fallback):
    async with system(tmp_path, steer="secondary", fallback=fallback, per_try_timeout=0.2) as s:
        for sec,pri in ((answers(200,after=1.5,text="sec"),answers(200,text="pri",after=.8)),(answers(404,after=.5,text="sec"),answers(200,text="pri",after=.8)),(answers(200,after=.4,text="sec"),answers(200,text="pri",after=.8)),(answers(404,text="sec"),answers(200,text="pri",after=.8)),(answers(404,after=.3,text="sec"),answers(404,text="pri",after=.8)),(answers(404,after=.8,text="sec"),answers(404,text="pri",after=.1))):
            s.secondary.answer,s.primary.answer=sec,pri
            t=time.time()
            a=await s.ask("GET","/v2/a")
            print(fallback, a.status,a.text,a.site,time.time()-t, len(s.primary.seen),a.headers)
@P
async def test_down(tmp_path, fallback):
    async with system(tmp_path, steer="secondary", fallback=fallback, secondary_url=NOWHERE) as s:
        for st in (200,404,500):
            s.primary.answer=answers(st,text="pri")
            a=await s.ask("GET","/v2/a")
            print(fallback,a.status,a.text,a.site,len(s.primary.seen))
@P
async def test_primary_unhealthy(tmp_path, fallback):
    async with system(tmp_path, steer="secondary", fallback=fallback) as s:
        s.primary.health=500; s.secondary.health=500
        await asyncio.sleep(.6)
        s.secondary.answer=answers(404)
        for st in (200,404,500):
            s.primary.answer=answers(st,text="pri")
            a=await s.ask("GET","/v2/a")
            print("UNH", fallback,a.status,a.text,a.site,s.secondary.lines)
        s.secondary.health=200
        await asyncio.sleep(.6)
        for st in (200,404,500):
            s.primary.answer=answers(st,text="pri")
            a=await s.ask("GET","/v2/a")
            print("UNHP", fallback,a.status,a.text,a.site,s.secondary.lines)
